"""Background work: periodic tasks, server instances, work shared by concurrent callers."""
