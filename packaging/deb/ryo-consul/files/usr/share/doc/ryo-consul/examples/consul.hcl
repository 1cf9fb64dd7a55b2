# The first file of a new node; /etc/consul.d may hold any number of files, .hcl and .json.
data_dir = "/opt/consul"

# A registry, alone:
# server = true
# bootstrap_expect = 1
# client_addr = "0.0.0.0"

# An agent:
# retry_join = ["10.1.1.10"]
