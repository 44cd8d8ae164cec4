"""`python -m device_sims` is `device-sims`."""

from device_sims.cli import main

main()
