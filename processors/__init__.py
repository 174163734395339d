"""The core: pure, synchronous processing of OTLP batches. No sockets, files, threads, clocks or logging set-up."""
