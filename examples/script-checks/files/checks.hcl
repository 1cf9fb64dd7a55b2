# /etc/ryo.d/checks.hcl: programs that say by their exit code how things are, as Nagios' plugins do: 0 good, 1 warning, else critical.
# Only what stands in files may run programs, not what comes over HTTP.
enable_local_script_checks = true

# The machine itself: when this is critical, none of its services is named any more.
check {
  id       = "disk"
  name     = "room on /var"
  args     = ["/usr/local/lib/checks/check_room", "-w", "20", "-c", "5", "/var"]
  interval = "30s"
  timeout  = "10s"
}

service {
  name = "cache"
  port = 11211
  check {
    id       = "cache"
    name     = "the cache answers"
    args     = ["/usr/local/lib/checks/check_file", "/run/cache.ok"]
    interval = "10s"
    # One bad answer is no failure yet.
    failures_before_critical = 2
  }
}
