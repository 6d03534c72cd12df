package main

import (
	"fmt"
	"io"
	"strings"

	"keywheel/engine/config"
)

// printValues shows every setting in force, and which source won it.
func printValues(out io.Writer, values []config.Value) {
	const name, text = 16, 44
	fmt.Fprint(out, "\nVALUES, and which source won each\n")
	of := ""
	for _, v := range values {
		if v.Of != of {
			of = v.Of
			fmt.Fprintln(out, of)
		}
		from := v.From
		if len(v.Over) > 0 {
			from += ", over " + strings.Join(v.Over, ", ")
		}
		fmt.Fprintf(out, "  %-*s %-*s  %s\n", name, v.Name, text, v.Text, from)
	}
}
