"""What sales_report is made of: rows and their totals, periods, charts and the page."""
