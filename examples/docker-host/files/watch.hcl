# /etc/ryo-watch/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

template {
  source      = "/etc/ryo-watch/nginx.conf.tmpl"
  destination = "/etc/nginx/nginx.conf"
  check       = "nginx -t -q -c {}"
  command     = "kill -HUP $(cat /run/nginx.pid)"
}
