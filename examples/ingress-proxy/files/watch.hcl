# The watcher of the proxy's container.
log_level = "info"

consul {
  address = "@ADDRESS@:8500"
}

action "reload" {
  command = "reload-haproxy"
}

template {
  source      = "@DIR@/haproxy.cfg.tmpl"
  destination = "@DIR@/haproxy.cfg"
  check       = "haproxy -c -f {}"
  command     = "reload"
}

template {
  source      = "@DIR@/cert-deploy.sh.tmpl"
  destination = "@DIR@/cert-deploy.sh"
  perms       = 0770
  command     = "@DIR@/certbot-initialise.sh"
}

template {
  source      = "@DIR@/certbot-initialise.sh.tmpl"
  destination = "@DIR@/certbot-initialise.sh"
  perms       = 0770
  command     = "@DIR@/certbot-initialise.sh"
}
