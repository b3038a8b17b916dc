"""Background work: periodic tasks, queues, server instances, and calls that concurrent callers share."""
