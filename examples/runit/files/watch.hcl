# /etc/ryo-watch/watch.hcl: a file with the healthy instances of web, and a program that is told of each change.
consul {
  address = "127.0.0.1:8500"
}

template {
  contents    = "{{ range service \"web\" }}{{ .Address }}:{{ .Port }}\n{{ else }}nobody\n{{ end }}"
  destination = "/etc/backends"
  command     = "sv hup proxy"
}
