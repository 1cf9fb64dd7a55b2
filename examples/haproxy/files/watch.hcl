# The watcher beside HAProxy: ryo-watch -config /etc/ryo-watch/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

# Both files end in one reload. HAProxy's unit checks the configuration once more, and waits until the new workers run.
action "reload-haproxy" {
  unit = "haproxy.service"
  # However often something changes: each reload leaves old workers behind until their connections end.
  min_interval = "2s"
}

template {
  source      = "/etc/ryo-watch/routes.map.tmpl"
  destination = "/etc/haproxy/routes.map"
  command     = "reload-haproxy"
}

template {
  source      = "/etc/ryo-watch/haproxy.cfg.tmpl"
  destination = "/etc/haproxy/haproxy.cfg"
  check       = "haproxy -c -f {}"
  # A reload that fails brings back the file of before. Half of all servers gone at once is looked at by somebody first.
  rollback    = true
  max_shrink  = 50
  command     = "reload-haproxy"
  wait {
    min = "500ms"
    max = "5s"
  }
}
