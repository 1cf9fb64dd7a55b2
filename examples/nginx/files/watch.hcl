# The watcher beside nginx: ryo-watch -config /etc/ryo-watch/watch.hcl
consul {
  address = "127.0.0.1:8500"
}

template {
  source      = "/etc/ryo-watch/services.conf.tmpl"
  destination = "/etc/nginx/services.conf"
  # nginx reads whole configurations only: the script puts the candidate into the real one.
  check       = "/bin/sh /etc/ryo-watch/check-nginx {}"
  # A reload that fails brings back the file of before. Half of all servers gone at once is looked at by somebody first.
  rollback    = true
  max_shrink  = 50
  command     = "reload"
  unit        = "nginx.service"
  # A deployment registers one instance after the other: wait for a pause of half a second, five at most.
  wait {
    min = "500ms"
    max = "5s"
  }
}
