"""Published figures of units in standard cells: reports/asic.json and the page that shows them."""
