# The watcher in the proxy's container: ryo-watch -config /etc/ryo-watch/ingress/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

action "reload-haproxy" {
  unit = "haproxy.service"
}

# A file for each certificate in the registry; what is none, or has no key, does not get there.
template {
  contents      = "{{ print \"certificates/\" item | key }}"
  for_each      = "{{ range ls \"certificates\" }}{{ .Key }}\n{{ end }}"
  destination   = "/etc/haproxy/certs/{}.pem"
  perms         = "0600"
  check         = "openssl x509 -noout -in {} && openssl pkey -noout -in {}"
  keep_rejected = false
  prune         = true
  command       = "reload-haproxy"
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
