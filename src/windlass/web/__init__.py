"""The HTTP that serving and control share: connections, routing, problems, documentation."""
