## What this container offers
services {
  name = "@SERVICE@"
  tags = [ "@SERVICE@" ]
  port = @PORT@
  checks = [
    { name = "answers", http = "http://@ADDRESS@:@PORT@/health", interval = "1s", timeout = "1s" },
  ]
}
