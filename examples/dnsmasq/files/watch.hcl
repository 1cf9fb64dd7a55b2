# The watcher beside dnsmasq: ryo-watch -config /etc/ryo-watch/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

# dnsmasq reads its configuration at its start only, but files of hosts again at a SIGHUP: names that come and go with their
# instances are there, so that nothing is restarted for them.
template {
  source      = "/etc/ryo-watch/services.conf.tmpl"
  destination = "/etc/dnsmasq.d/services.conf"
  check       = "dnsmasq --test -C {}"
  command     = "restart"
  unit        = "dnsmasq.service"
}

template {
  source      = "/etc/ryo-watch/hosts.tmpl"
  destination = "/etc/dnsmasq.services"
  command     = "signal"
  signal      = "SIGHUP"
  unit        = "dnsmasq.service"
  wait {
    min = "500ms"
    max = "5s"
  }
}

template {
  source      = "/etc/ryo-watch/dhcp-hosts.tmpl"
  destination = "/etc/dnsmasq.dhcp-hosts"
  command     = "signal"
  signal      = "SIGHUP"
  unit        = "dnsmasq.service"
}
