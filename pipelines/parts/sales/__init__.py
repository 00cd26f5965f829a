"""Parts of sales_report: orders and their totals, periods, charts and the page."""
