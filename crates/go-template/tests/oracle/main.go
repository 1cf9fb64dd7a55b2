// Executes templates with Go's own text/template: one JSON object a line in, one a line out.
//
// In: {"template": base64, "left": text, "right": text, "missing_key": "zero"|"error"|"default"}.
// Out: {"output": base64} or {"error": base64}. The data and the functions are those of tests/data.
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

type Named []string

type Pad struct{ kept int }

func (p Pad) Get(key string) interface{} {
	if key == "none" {
		return nil
	}
	return key
}

func (p Pad) Sum(numbers ...int) (sum int) {
	for _, number := range numbers {
		sum += number
	}
	return sum
}

func (p Pad) Count() int            { return 3 }
func (p Pad) Fail() (string, error) { return "", errors.New("no luck") }
func (p Pad) String() string        { return "pad" }

type question struct {
	Template   []byte `json:"template"`
	Left       string `json:"left"`
	Right      string `json:"right"`
	MissingKey string `json:"missing_key"`
}

type answer struct {
	Output []byte `json:"output,omitempty"`
	Error  []byte `json:"error,omitempty"`
}

func failed(text string) answer {
	return answer{Error: []byte(text)}
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
		"um":  map[uint64]bool{7: true, 10: false},
		"bm":  map[bool]float64{true: 1, false: 0},
		"am":  map[interface{}]interface{}{"k": 1, "l": nil},
		"rec": first(), "recs": []Rec{first(), second}, "val": second,
		"ints": []int64{3, -4}, "floats": []float64{0.25, -1e9}, "bytes": []byte("by\n"),
		"grid":  []interface{}{[]interface{}{1, 2}, []interface{}{}, nil},
		"named": Named{"t1", "t2"}, "nillist": []string(nil), "nilmap": map[string]string(nil),
		"ugly": "\xffa\x00\"'\\\x7f\n\xe9", "words": "Zwei Wörter & 日本 = \u00a0\u200b\ue000😀", "é": "accent",
	}
}

var functions = template.FuncMap{
	"echo": func(all ...interface{}) interface{} {
		if len(all) == 0 {
			return nil
		}
		return all[0]
	},
	"list":     func(all ...interface{}) []interface{} { return all },
	"plus":     func(a, b int) int { return a + b },
	"half":     func(a float64) float64 { return a / 2 },
	"glue":     func(with string, all []string) string { return strings.Join(all, with) },
	"up":       upper,
	"unsigned": func(a uint64) uint64 { return a },
	"wide":     func(a int64) int64 { return a },
	"is": func(a bool) string {
		if a {
			return "is"
		}
		return "is not"
	},
	"many": func(a string, b ...int) string {
		sum := 0
		for _, number := range b {
			sum += number
		}
		return a + fmt.Sprint(sum)
	},
	"port":  func(r Rec) int { return r.Port },
	"size":  func(m map[string]interface{}) int { return len(m) },
	"yes":   func() bool { return true },
	"bad":   func() (string, error) { return "", errors.New("boom") },
	"none":  func() *Rec { return nil },
	"there": func() *Rec { r := first(); return &r },
	"both":  func() []*Rec { r := first(); return []*Rec{&r, nil} },
	"pad":   func() *Pad { return &Pad{} },
}

func upper(text string) string {
	bytes := []byte(text)
	for at, b := range bytes {
		if 'a' <= b && b <= 'z' {
			bytes[at] = b - 'a' + 'A'
		}
	}
	return string(bytes)
}

func run(q question) (result answer) {
	defer func() {
		if r := recover(); r != nil {
			result = failed(fmt.Sprint("panic: ", r))
		}
	}()
	t, err := template.New("t").Delims(q.Left, q.Right).Option("missingkey=" + q.MissingKey).Funcs(functions).Parse(string(q.Template))
	if err != nil {
		return failed(err.Error())
	}
	var out strings.Builder
	if err := t.Execute(&out, data()); err != nil {
		return failed(err.Error())
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
			result = failed("endless")
		}
		if err := encoder.Encode(result); err != nil {
			os.Exit(1)
		}
	}
}
