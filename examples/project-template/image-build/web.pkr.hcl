# The image shop-web-VERSION: the agent's image, and this component in it.
#   packer build -var version=1.0.0 image-build/web.pkr.hcl

variable "version" {
  type = string
}

variable "project_id" {
  type    = string
  default = "shop"
}

source "lxd" "web" {
  image          = "ryo-agent"
  output_image   = "${var.project_id}-web-${var.version}"
  container_name = "packer-${var.project_id}-web"
}

build {
  sources = ["source.lxd.web"]

  provisioner "ansible" {
    playbook_file = "${path.root}/playbooks/provision-web.yml"
    extra_arguments = [
      "--extra-vars", "ansible_connection=community.general.lxd ansible_host=packer-${var.project_id}-web",
    ]
  }
}
