"""The report: one HTML file that opens without a network, and the same content as JSON."""
