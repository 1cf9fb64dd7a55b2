# The watcher beside nftables: ryo-watch -config /etc/ryo-watch/watch.hcl, as root.
consul {
  address = "127.0.0.1:8500"
}

template {
  source      = "/etc/ryo-watch/services.nft.tmpl"
  destination = "/etc/nftables.d/services.nft"
  create_dest_dirs = true
  perms       = "0600"
  # Both are one transaction of the kernel: all rules or none.
  check       = "nft -c -f {}"
  command     = "nft -f /etc/nftables.d/services.nft"
  rollback    = true
  wait {
    min = "500ms"
    max = "5s"
  }
}
