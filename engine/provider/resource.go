package provider

// Resource is something made upstream that only the account which made it can
// use.
type Resource struct {
	// Create is how the path ends (or, ending in a slash, what it has in it)
	// whose POST makes one.
	Create string
	// Use is what stands before its id in the paths that use it.
	Use string
	// ID is where the answer to Create has the id, "" is "id".
	ID string
	// Query is the query parameter, Fields the fields of a request's body, that
	// name one.
	Query  string
	Fields []string
}
