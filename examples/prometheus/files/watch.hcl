# The watcher beside Prometheus: ryo-watch -config /etc/ryo-watch/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

# Prometheus looks at files of targets by itself: nothing has to be told.
template {
  source      = "/etc/ryo-watch/targets.json.j2"
  destination = "/etc/prometheus/targets/services.json"
  check       = "/bin/sh /etc/ryo-watch/check-targets {}"
  create_dest_dirs = true
  wait {
    min = "2s"
    max = "20s"
  }
}

template {
  source      = "/etc/ryo-watch/rules.yml.tmpl"
  destination = "/etc/prometheus/rules/services.yml"
  check       = "promtool check rules {}"
  create_dest_dirs = true
  command     = "reload"
  unit        = "prometheus.service"
}
