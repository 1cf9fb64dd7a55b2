# /etc/ryo-watch/watch.hcl: the same decision for programs that only read a file.
consul {
  address = "127.0.0.1:8500"
}

template {
  contents    = "{{ range service \"v4.api\" }}{{ .Address }}:{{ .Port }}\n{{ else }}{{ range service \"v3.api\" }}{{ .Address }}:{{ .Port }}\n{{ end }}{{ end }}"
  destination = "/etc/api-backends"
}
