// Program discover runs the discovery that is in Prometheus against the server at CONSUL_HTTP_ADDR, a line a step.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sort"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/discovery"
	sd "github.com/prometheus/prometheus/discovery/consul"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"gopkg.in/yaml.v2"
)

// As in prometheus.yml, with %s for the server.
const configuration = `
everything:
  consul_sd_configs:
    - server: %[1]s
      refresh_interval: 1s
tagged:
  consul_sd_configs:
    - server: %[1]s
      refresh_interval: 1s
      services: [exporter]
      tags: [scrape]
filtered:
  consul_sd_configs:
    - server: %[1]s
      refresh_interval: 1s
      filter: 'ServiceTags contains "scrape"'
`

// For how long the manager gathers changes; five seconds in Prometheus.
const gathering = 200 * time.Millisecond

// Longer than any change takes to become a target.
const patience = 30 * time.Second

type labels map[string]string

func main() {
	address := os.Getenv("CONSUL_HTTP_ADDR")
	consul, err := api.NewClient(api.DefaultConfig())
	check(err)
	seen, err := discover(address)
	check(err)

	expect(seen, "Consul itself is a target of the job that looks at everything", "everything", []labels{
		{"__meta_consul_service": "consul", "__meta_consul_node": "clients", "__meta_consul_dc": "dc1"},
	})
	expect(seen, "the others have none", "tagged", nil)

	exporter := &api.AgentServiceRegistration{
		ID: "exporter-1", Name: "exporter", Address: "192.0.2.20", Port: 9100,
		Tags: []string{"scrape", "linux"}, Meta: map[string]string{"team": "storage"},
		Check: &api.AgentServiceCheck{TTL: "10m", Status: api.HealthPassing},
	}
	found := []labels{{
		"__address__":                         "192.0.2.20:9100",
		"__meta_consul_service":               "exporter",
		"__meta_consul_service_id":            "exporter-1",
		"__meta_consul_service_address":       "192.0.2.20",
		"__meta_consul_service_port":          "9100",
		"__meta_consul_tags":                  ",scrape,linux,",
		"__meta_consul_service_metadata_team": "storage",
		"__meta_consul_tagged_address_lan":    "127.0.0.1",
		"__meta_consul_health":                "passing",
	}}
	check(consul.Agent().ServiceRegister(exporter))
	expect(seen, "a service that is registered is found by its tag", "tagged", found)
	expect(seen, "and by a filter", "filtered", found)

	check(consul.Agent().UpdateTTL("service:exporter-1", "gone wrong", api.HealthCritical))
	found[0]["__meta_consul_health"] = "critical"
	expect(seen, "its health is a label", "tagged", found)

	second := *exporter
	second.ID, second.Address = "exporter-2", "192.0.2.21"
	check(consul.Agent().ServiceRegister(&second))
	expect(seen, "a second instance is found", "tagged", []labels{
		{"__address__": "192.0.2.20:9100"}, {"__address__": "192.0.2.21:9100"},
	})

	check(consul.Agent().ServiceDeregister("exporter-1"))
	expect(seen, "one that goes is lost", "tagged", []labels{{"__address__": "192.0.2.21:9100"}})
	check(consul.Agent().ServiceDeregister("exporter-2"))
	expect(seen, "and the last one", "tagged", nil)
	expect(seen, "by the filter too", "filtered", nil)

	check(consul.Agent().ServiceRegister(exporter))
	found[0]["__meta_consul_health"] = "passing"
	expect(seen, "it is found again", "tagged", found)
	expect(seen, "by the filter too", "filtered", found)
	check(consul.Agent().ServiceDeregister("exporter-1"))
}

// discover starts what Prometheus starts for these scrape configurations.
func discover(address string) (<-chan map[string][]*targetgroup.Group, error) {
	var jobs map[string]struct {
		Discovery []*sd.SDConfig `yaml:"consul_sd_configs"`
	}
	if err := yaml.UnmarshalStrict(fmt.Appendf(nil, configuration, address), &jobs); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	metrics, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn}))
	manager := discovery.NewManager(context.Background(), logger, registry, metrics, discovery.Updatert(gathering))
	go manager.Run()
	wanted := map[string]discovery.Configs{}
	for name, job := range jobs {
		for _, section := range job.Discovery {
			wanted[name] = append(wanted[name], section)
		}
	}
	return manager.SyncCh(), manager.ApplyConfig(wanted)
}

var last map[string][]*targetgroup.Group

// expect waits until a job has exactly these targets, with these labels among theirs.
func expect(seen <-chan map[string][]*targetgroup.Group, step, job string, wanted []labels) {
	start := time.Now()
	timer := time.NewTimer(patience)
	for !reflect.DeepEqual(shown(last[job], wanted), wanted) {
		select {
		case last = <-seen:
		case <-timer.C:
			fmt.Printf("FAIL %s: %v instead of %v\n", step, shown(last[job], wanted), wanted)
			os.Exit(1)
		}
	}
	fmt.Printf("ok   %s (%.1f s)\n", step, time.Since(start).Seconds())
}

// shown lists a job's targets by address, each with the labels that are asked for.
func shown(groups []*targetgroup.Group, wanted []labels) []labels {
	var all []map[string]string
	for _, group := range groups {
		for _, target := range group.Targets {
			one := map[string]string{}
			for name, value := range group.Labels.Merge(target) {
				one[string(name)] = string(value)
			}
			all = append(all, one)
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a]["__address__"] < all[b]["__address__"] })
	var cut []labels
	for number, target := range all {
		one := labels{"__address__": target["__address__"]}
		if len(wanted) > 0 {
			one = labels{}
			for name := range wanted[min(number, len(wanted)-1)] {
				one[name] = target[name]
			}
		}
		cut = append(cut, one)
	}
	return cut
}

func check(err error) {
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
}
