# Beside the agent's other files, /etc/ryo.d/notices.hcl: whenever the checks of the fleet change, the script is told.
watches = [
  {
    type = "checks"
    state = "critical"
    args = ["/usr/local/bin/notify"]
  },
]
