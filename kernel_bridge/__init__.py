"""0MQ and kernels: sessions, cells and their logs. Knows no HTTP and no passwords."""
