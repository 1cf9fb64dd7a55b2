# The watcher in the proxy's container: ryo-watch -config /etc/ryo-watch/ingress/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

action "reload-haproxy" {
  unit = "haproxy.service"
}

template {
  source      = "/etc/ryo-watch/ingress/certificates.tmpl"
  destination = "/etc/haproxy/certificates"
  perms       = "0600"
  command     = "reload-haproxy"
  wait {
    min = "500ms"
    max = "5s"
  }
}

template {
  source      = "/etc/ryo-watch/ingress/haproxy.cfg.tmpl"
  destination = "/etc/haproxy/haproxy.cfg"
  check       = "haproxy -c -f {}"
  command     = "reload-haproxy"
}
