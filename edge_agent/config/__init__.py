"""What `store.yaml` says, whole and of every kind of device."""
