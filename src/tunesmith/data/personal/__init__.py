"""Personal data in texts: where it stands (`find`), and what can stand there instead (`stand_in`)."""
