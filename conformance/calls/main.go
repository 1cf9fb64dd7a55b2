// Evaluates templates with consul-template's own package, one JSON object a line in, one a line out, in order.
//
// In: {"template": base64}. Out: {"output": base64}, {"error": text}, or {"waiting": true} when the template asks for what the
// registry does not have. What templates ask is asked once and kept.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"time"
	_ "unsafe" // for the clock below

	dep "github.com/hashicorp/consul-template/dependency"
	"github.com/hashicorp/consul-template/template"
)

// The clock that the function timestamp reads.
//
//go:linkname now github.com/hashicorp/consul-template/template.now
var now func() time.Time

const (
	askLimit      = time.Second
	templateLimit = 5 * time.Second
	roundsMax     = 64
)

type question struct {
	Template []byte `json:"template"`
}

type answer struct {
	Output  []byte `json:"output"`
	Error   string `json:"error,omitempty"`
	Waiting bool   `json:"waiting,omitempty"`
}

// registry is what is known of it, and what it could not say.
type registry struct {
	clients *dep.ClientSet
	brain   *template.Brain
	unknown map[string]bool
}

// learn asks for what is missing; false when nothing of it can be had.
func (r *registry) learn(missing *dep.Set) bool {
	learned := false
	for _, d := range missing.List() {
		if r.unknown[d.String()] {
			continue
		}
		data, ok := r.ask(d)
		if !ok {
			r.unknown[d.String()] = true
			continue
		}
		r.brain.Remember(d, data)
		learned = true
	}
	return learned
}

func (r *registry) ask(d dep.Dependency) (interface{}, bool) {
	type result struct {
		data interface{}
		ok   bool
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- result{}
			}
		}()
		data, metadata, err := d.Fetch(r.clients, &dep.QueryOptions{})
		done <- result{data, err == nil && !(data == nil && metadata != nil && metadata.BlockOnNil)}
	}()
	select {
	case got := <-done:
		return got.data, got.ok
	case <-time.After(askLimit):
		return nil, false
	}
}

func (r *registry) evaluate(source string) (result answer) {
	defer func() {
		if reason := recover(); reason != nil {
			result = answer{Error: fmt.Sprint("panic: ", reason)}
		}
	}()
	t, err := template.NewTemplate(&template.NewTemplateInput{Contents: source})
	if err != nil {
		return answer{Error: err.Error()}
	}
	for round := 0; round < roundsMax; round++ {
		executed, err := t.Execute(&template.ExecuteInput{Brain: r.brain})
		if err != nil {
			return answer{Error: err.Error()}
		}
		if executed.Missing.Len() == 0 {
			return answer{Output: append([]byte{}, executed.Output...)}
		}
		if !r.learn(executed.Missing) {
			break
		}
	}
	return answer{Waiting: true}
}

func main() {
	address := flag.String("address", "", "the registry")
	clock := flag.String("time", "", "what time it is, as RFC 3339")
	flag.Parse()
	at, err := time.Parse(time.RFC3339, *clock)
	if err != nil {
		fatal(err)
	}
	now = func() time.Time { return at.UTC() }
	log.SetOutput(io.Discard)
	debug.SetMaxStack(64 << 20)
	clients := dep.NewClientSet()
	if err := clients.CreateConsulClient(&dep.CreateConsulClientInput{Address: *address}); err != nil {
		fatal(err)
	}
	known := &registry{clients, template.NewBrain(), map[string]bool{}}
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	encoder := json.NewEncoder(os.Stdout)
	for decoder.More() {
		var q question
		if err := decoder.Decode(&q); err != nil {
			fatal(err)
		}
		done := make(chan answer, 1)
		go func() { done <- known.evaluate(string(q.Template)) }()
		select {
		case result := <-done:
			if err := encoder.Encode(result); err != nil {
				os.Exit(1)
			}
		case <-time.After(templateLimit):
			// What goes on for so long cannot be ended, and would take all memory.
			fatal(fmt.Errorf("endless: %s", q.Template))
		}
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
