"""What the registry knows: versions, their stages, and every decision about them."""
