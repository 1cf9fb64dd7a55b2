# The watcher beside Caddy: ryo-watch -config /etc/ryo-watch/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

template {
  source      = "/etc/ryo-watch/Caddyfile.tmpl"
  destination = "/etc/caddy/Caddyfile"
  check       = "caddy validate --adapter caddyfile --config {}"
  command     = "reload"
  unit        = "caddy.service"
  wait {
    min = "500ms"
    max = "5s"
  }
}
