"""What others have built: the code objects in any file, their kernels, as a table, held against another and locked."""
