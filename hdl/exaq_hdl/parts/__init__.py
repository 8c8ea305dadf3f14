"""Parts of any hardware: queues, memories, counters. They know nothing of softmax."""
