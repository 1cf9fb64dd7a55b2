// Executes templates with Go's own text/template: one JSON object a line in, one a line out.
//
// In: {"template": base64, "missing_key": "zero"|"error"|"default"}. Out: {"output": base64} or {"error": text}.
// The data and the functions are those of tests/beside_go.rs.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"
	"time"
)

type Inner struct {
	Name string
	Port int
}

type Rec struct {
	Name  string
	Port  int
	Ratio float64
	On    bool
	Tags  []string
	Inner Inner
	Next  *Rec
	Any   interface{}
	Meta  map[string]string
}

type question struct {
	Template   []byte `json:"template"`
	MissingKey string `json:"missing_key"`
}

type answer struct {
	Output []byte `json:"output,omitempty"`
	Error  string `json:"error,omitempty"`
}

func first() Rec {
	return Rec{Name: "first", Port: 80, Ratio: 0.5, On: true, Tags: []string{"x", "y"}, Inner: Inner{"in", 9}, Meta: map[string]string{"k": "v"}}
}

func data() map[string]interface{} {
	second := Rec{Name: "second", Port: 2, Tags: []string{}, Any: 7}
	return map[string]interface{}{
		"a": 1, "i64": int64(-5), "u": uint64(7), "f": 1.5, "big": 12345678.0, "b": true, "s": "te<x>t", "e": "", "n": nil,
		"list": []interface{}{1, "x", 2.5, nil, true},
		"strs": []string{"p", "q r"}, "empty": []interface{}{},
		"m":   map[string]interface{}{"x": 1, "y": map[string]interface{}{"z": "deep"}, "n": nil},
		"sm":  map[string]string{"k": "v", "l": ""},
		"im":  map[int]string{10: "ten", 2: "two"},
		"rec": first(), "recs": []Rec{first(), second}, "val": second,
	}
}

var functions = template.FuncMap{
	"echo": func(all ...interface{}) interface{} {
		if len(all) == 0 {
			return nil
		}
		return all[0]
	},
	"list": func(all ...interface{}) []interface{} { return all },
	"plus": func(a, b int) int { return a + b },
	"half": func(a float64) float64 { return a / 2 },
	"glue": func(with string, all []string) string { return strings.Join(all, with) },
	"up":   strings.ToUpper,
	"yes":  func() bool { return true },
	"bad":  func() (string, error) { return "", errors.New("boom") },
	"none": func() *Rec { return nil },
	"there": func() *Rec { r := first(); return &r },
}

func run(q question) (result answer) {
	defer func() {
		if r := recover(); r != nil {
			result = answer{Error: fmt.Sprint("panic: ", r)}
		}
	}()
	t, err := template.New("t").Option("missingkey=" + q.MissingKey).Funcs(functions).Parse(string(q.Template))
	if err != nil {
		return answer{Error: err.Error()}
	}
	var out strings.Builder
	if err := t.Execute(&out, data()); err != nil {
		return answer{Error: err.Error()}
	}
	if out.Len() == 0 {
		return answer{Output: []byte{}}
	}
	return answer{Output: []byte(out.String())}
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder := json.NewDecoder(in)
	encoder := json.NewEncoder(out)
	for decoder.More() {
		var q question
		if err := decoder.Decode(&q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		done := make(chan answer, 1)
		go func() { done <- run(q) }()
		var result answer
		select {
		case result = <-done:
		case <-time.After(10 * time.Second):
			result = answer{Error: "endless"}
		}
		if err := encoder.Encode(result); err != nil {
			os.Exit(1)
		}
	}
}
