"""`python -m cloud_bridge`."""

from cloud_bridge.cli import main

if __name__ == "__main__":
    main()
