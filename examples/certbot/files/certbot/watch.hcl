# The watcher in certbot's container: ryo-watch -config /etc/ryo-watch/certbot/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

template {
  source      = "/etc/ryo-watch/certbot/domains.tmpl"
  destination = "/etc/certbot-domains"
  command     = "/bin/sh /etc/ryo-watch/certbot/issue"
  # An authority may let one wait. What fails is tried again after 1 s, 2 s, 4 s … 60 s, until it works.
  command_timeout = "10m"
  wait {
    min = "500ms"
    max = "5s"
  }
}
