"""What a series of many years says: climatology, anomalies, ranks, months, years and trends."""
