"""Sources are read in a child process of their own, with limits, without network: what kills a reader does not harm the program.

A file is untrusted bytes, and a library that reads it may crash, or take all memory. So the child finds out what a source is and parses it,
writes each block as an Arrow IPC file and tells its name; the parent reads that file, which Polars checks as it does so. What the child
says is data: texts and numbers in JSON, never an object that would be built from it.

process     starts the child, asks it, and says why it died
reading     `Sandbox`: opens sources in a child; its readings are `ports.Reading`
child       what runs in the child
walls       what the child may not do: start processes, reach the network, write elsewhere
limits      how much the child may take
wire        the messages between the two
blocks      a block as files
far         sources that are not on this machine: the parent reads them, the child asks for the bytes
"""
