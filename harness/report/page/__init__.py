"""Pages of one file: the frame, tables that sort and filter, and what runs say of themselves."""
