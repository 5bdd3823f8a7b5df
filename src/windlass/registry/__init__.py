"""Model registry: versions, their stages and bundles, and every decision about them."""
