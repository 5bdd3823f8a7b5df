"""HTTP that serving and control share: server, routing, problems, authentication, offloading, documentation."""
