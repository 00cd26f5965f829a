"""What pipelines over files share: which files, how results get to their places whole, a page that shows them."""
