"""What can be connected, as data: the integrations, how each is asked for, sent and checked, and their logos."""
