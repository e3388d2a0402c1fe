"""`tidegate manager`: the manager as a process, and what is done beside its database."""
