# The ingress proxy's image: HAProxy and certbot, kept in step by the watcher.

source "lxd" "ingress-proxy" {
  image              = var.base_image
  output_image       = "ryo-ingress-proxy${local.end}"
  container_name     = "packer-ryo-ingress-proxy${local.end}"
  publish_properties = { description = "ryo: ingress proxy" }
}

build {
  sources = ["source.lxd.ingress-proxy"]

  provisioner "ansible" {
    playbook_file    = "${path.root}/playbooks/ingress-proxy.yml"
    ansible_env_vars = local.environment
    extra_arguments = [
      "--extra-vars", jsonencode(merge(local.settings, local.join, {
        ansible_host = "packer-ryo-ingress-proxy${local.end}"
      })),
    ]
  }
}
