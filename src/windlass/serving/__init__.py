"""The inference server: loaded versions, prediction routes, online features and protocols."""
