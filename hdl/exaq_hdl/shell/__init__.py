"""The shell: streams, rows, masks, queues and tops. It knows no exponential and no kernel."""
