# /etc/ryo.d/backup.hcl: a batch job says that it ran; when it does not for a day and an hour, it is critical.
service {
  name = "backup"
  check {
    id   = "backup"
    name = "a backup was made"
    ttl  = "25h"
  }
}
