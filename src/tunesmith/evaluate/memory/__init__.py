"""What an expert has memorised: planted canaries, training rows and personal data read back, membership."""
