"""Run background work in periodic tasks, store queues and server instances, and share concurrent calls."""
